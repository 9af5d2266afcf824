package bitbuckettest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// object is a JSON object whose keys keep their order, because Bitbucket's do. A value
// is a string, a bool, an integer, nil, an object or a list.
type object []member

type member struct {
	key    string
	value  any
	absent bool // left out, or null when the encoder is told so
}

type list []any

// jsonStyle are the liberties that an answer may take and that a client must bear.
type jsonStyle struct {
	extraKeys     bool // every object has a key that nobody knows
	nullForAbsent bool // what is left out is null
}

func field(key string, value any) member { return member{key: key, value: value} }

// optional is a member that is there only when present is true.
func optional(key string, value any, present bool) member {
	return member{key: key, value: value, absent: !present}
}

func (style jsonStyle) append(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return appendString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case list:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = style.append(dst, element)
		}
		return append(dst, ']')
	case object:
		return style.appendObject(dst, v)
	default:
		panic(fmt.Sprintf("bitbuckettest: no JSON for a %T", value))
	}
}

func (style jsonStyle) appendObject(dst []byte, o object) []byte {
	dst = append(dst, '{')
	first := true
	write := func(key string, value any) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, key)
		dst = append(dst, ':')
		dst = style.append(dst, value)
	}
	for _, m := range o {
		switch {
		case !m.absent:
			write(m.key, m.value)
		case style.nullForAbsent:
			write(m.key, nil)
		}
	}
	if style.extraKeys {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, `"aKeyOfANewerVersion":{"values":[1,"two",null],"links":{}}`...)
	}
	return append(dst, '}')
}

// appendString writes a JSON string without the escapes for HTML that package json likes
// and Bitbucket does not write.
func appendString(dst []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always has a JSON form
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
