package trial

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// Deliver is DeliverTo for the connection that ConfigFor makes.
func (s *Server) Deliver(h Holding, secret string) (status int, err error) {
	return s.DeliverTo(ConnectionName, h, secret)
}

// DeliverTo sends a connection of the server what Bitbucket sends after a push to a repository,
// signed with the webhook's secret, and returns the status of the answer.
func (s *Server) DeliverTo(connection string, h Holding, secret string) (status int, err error) {
	key, slug, _ := strings.Cut(h.Address, "/")
	body, err := json.Marshal(map[string]any{
		"eventKey": "repo:refs_changed", "date": "2026-01-01T00:00:00+0000",
		"actor": map[string]any{"name": "jane", "id": 7, "displayName": "Jane Citizen", "active": true, "slug": "jane", "type": "NORMAL"},
		"repository": map[string]any{
			"slug": slug, "id": h.Number, "name": slug, "scmId": "git", "state": "AVAILABLE", "forkable": true,
			"project": map[string]any{"key": key, "id": 1, "name": "Project " + key, "public": false, "type": "NORMAL"}, "public": false,
		},
		"changes": []any{map[string]any{
			"ref": map[string]any{"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}, "refId": "refs/heads/main",
			"fromHash": strings.Repeat("1", 40), "toHash": strings.Repeat("2", 40), "type": "UPDATE",
		}},
	})
	if err != nil {
		return 0, err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	request, err := http.NewRequest(http.MethodPost, s.URL+"/api/v1/webhooks/bitbucket-server/"+connection, bytes.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("X-Event-Key", "repo:refs_changed")
	request.Header.Set("X-Request-Id", rand.Text())
	request.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := Client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
