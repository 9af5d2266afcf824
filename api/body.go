package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// readBody reads at most limit bytes of the body.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, errContentEncoding
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	if err != nil {
		return nil, &requestError{"The body ended before it was complete."}
	}
	return body, nil
}

// readJSON reads a JSON body of at most limit bytes into v. The text of its errors is for
// the client.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return errMediaType
	}
	body, err := readBody(w, r, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			where := typeErr.Field
			if where == "" {
				where = "the body"
			}
			return &requestError{fmt.Sprintf("%s: %s cannot stand there.", where, withArticle(typeErr.Value))}
		}
		return &requestError{"The body is not valid JSON."}
	}
	return nil
}

// withArticle writes the name of a JSON type as a sentence needs it.
func withArticle(jsonType string) string {
	if jsonType == "array" || jsonType == "object" {
		return "an " + jsonType
	}
	return "a " + jsonType
}
