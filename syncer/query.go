package syncer

import (
	"net/url"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// queryTakes says whether a query string of rest/api/1.0/repos takes a repository, as far
// as what Bitbucket said of the repository tells. It serves two ends: a lookup of one
// repository without a listing, and a check of what a listing found, because a Bitbucket
// ignores the parameters that came after it (projectkey before 8.0 finds everything).
func queryTakes(query string, r bitbucket.Repository) Taken {
	values, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil {
		return MaybeTaken
	}
	taken := IsTaken
	for name := range values {
		taken = min(taken, parameterTakes(name, strings.TrimSpace(values.Get(name)), r))
	}
	return taken
}

// parameterTakes judges one parameter. A name or project name is compared without case;
// whether Bitbucket wants the value at the beginning or anywhere differs by version and is not
// documented, so a value in the middle is MaybeTaken.
func parameterTakes(name, value string, r bitbucket.Repository) Taken {
	if value == "" {
		return IsTaken // Bitbucket treats an empty filter as none
	}
	switch name {
	case "name":
		return textTakes(r.Name, value)
	case "projectname":
		return textTakes(r.ProjectName, value)
	case "projectkey":
		return yesNo(strings.EqualFold(r.Key, value))
	case "state":
		return yesNo(strings.EqualFold(string(r.State), value))
	case "archived":
		switch strings.ToUpper(value) {
		case "ALL":
			return IsTaken
		case "ARCHIVED":
			return yesNo(r.Archived)
		case "ACTIVE":
			return yesNo(!r.Archived)
		}
	case "permission":
		// Whoever can look a repository up can read it.
		if strings.EqualFold(value, "REPO_READ") {
			return IsTaken
		}
	case "limit", "start":
		return IsTaken // the paging is ours
	}
	return MaybeTaken
}

func textTakes(text, filter string) Taken {
	text, filter = strings.ToLower(text), strings.ToLower(filter)
	switch {
	case text == "": // not told
		return MaybeTaken
	case strings.HasPrefix(text, filter):
		return IsTaken
	case strings.Contains(text, filter):
		return MaybeTaken
	}
	return NotTaken
}

func yesNo(ok bool) Taken {
	if ok {
		return IsTaken
	}
	return NotTaken
}
