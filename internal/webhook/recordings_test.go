package webhook

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
	"example.com/signpost/internal/siteconfig"
)

func TestParseOfRecordings(t *testing.T) {
	t.Parallel()
	repository := func(number int64, key, slug string) Repository {
		return Repository{Number: number, Address: bitbucket.Address{Key: key, Slug: slug}}
	}
	push := func(number int64, key, slug string) Delivery {
		return Delivery{Kind: Push, Repository: repository(number, key, slug)}
	}
	for _, c := range []struct {
		file, key string
		want      Delivery
	}{
		{"webhook-refs_changed-5.4-docs.json", "repo:refs_changed", push(84, "PROJ", "repository")},
		{"webhook-refs_changed-branch-create.json", "repo:refs_changed", push(1, "PRJ", "my-repo")},
		{"webhook-refs_changed-tag-create.json", "repo:refs_changed", push(1, "PRJ", "my-repo")},
		{"webhook-refs_changed-2019.json", "repo:refs_changed", push(656, "MYPROJECT", "test-repo")},
		{"webhook-refs_changed-empty-changes.json", "repo:refs_changed", push(1, "ALICE", "test-repos")},
		{"webhook-refs_changed-v10.json", "repo:refs_changed", push(2, "ALICE", "test-repos")},
		{"webhook-annotated-tag-created.json", "repo:refs_changed", push(2, "ALICE", "test-repos")},
		{"webhook-tag-deleted.json", "repo:refs_changed", push(2, "ALICE", "test-repos")},
		{"webhook-pr-opened-5.4.json", "pr:opened", Delivery{Kind: PullRequest, Repository: repository(84, "PROJ", "repository"), PullRequest: 1}},
		{"webhook-pr-merged-5.4.json", "pr:merged", Delivery{Kind: PullRequest, Repository: repository(84, "PROJ", "repository"), PullRequest: 9}},
		{"webhook-mirror-synchronized.json", "mirror:repo_synchronized", Delivery{Kind: Synchronized, Repository: repository(1, "ALICE", "test-repos")}},
		{"webhook-mirror-synchronized-6.5.json", "mirror:repo_synchronized", Delivery{Kind: Synchronized, Repository: repository(84, "PROJ", "repository")}},
		{"webhook-postreceive-plugin-branch-created.json", "repo:push", push(0, "PROJECT_1", "rep_1")},
		{"webhook-postreceive-plugin-update.json", "", push(0, "PROJECT_1", "rep_1")},
		{"webhook-diagnostics-ping.json", "diagnostics:ping", Delivery{Kind: Ping}},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(c.key, []byte(recordings.Read(t, c.file)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// recordedKeys are the keys that a Bitbucket of 5.x or 6.x says to have.
func recordedKeys(t *testing.T) []string {
	t.Helper()
	var capabilities map[string][]string
	if err := json.Unmarshal([]byte(recordings.Read(t, "rest-webhooks-capabilities.json")), &capabilities); err != nil {
		t.Fatal(err)
	}
	return capabilities["application-webhooks"]
}

func TestEveryRecordedKeyHasAKind(t *testing.T) {
	t.Parallel()
	var concerns int
	for _, key := range recordedKeys(t) {
		if kindOf(key) != Other {
			concerns++
		}
	}
	if concerns != 15 { // three of repositories and mirrors, twelve of pull requests
		t.Errorf("%d of the recorded keys are of concern, want 15", concerns)
	}
}

func TestVerifyOfTheRecordedVector(t *testing.T) {
	t.Parallel()
	body := []byte(recordings.Read(t, "hmac-vector-body.json"))
	secret := siteconfig.NewSecret("not$a real/secret=")
	if err := Verify(secret, "sha256=5484a7cd6f2926a7d3d4ca52786a7a778c4b95c9dc8989a4075766e7d45de46f", body); err != nil {
		t.Error(err)
	}
}
