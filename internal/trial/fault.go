package trial

import (
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// emptyAdvertisement is what git gets of a repository without any ref (gitprotocol-http(5)).
const emptyAdvertisement = "001e# service=git-upload-pack\n00000000"

// proxyErrorPage is what a reverse proxy answers while Bitbucket restarts.
const proxyErrorPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

// EmptyAdvertisement makes every repository look empty to git.
func EmptyAdvertisement() bitbuckettest.Fault {
	return bitbuckettest.Fault{
		Kind: bitbuckettest.KindGit, Method: http.MethodGet, Status: http.StatusOK, Body: emptyAdvertisement,
		Header: map[string]string{"Content-Type": "application/x-git-upload-pack-advertisement"},
	}
}

// ProxyErrorPage is a proxy's error page in front of a kind of requests; with status 200 it is
// one of those that hide the error.
func ProxyErrorPage(kind bitbuckettest.Kind, status int) bitbuckettest.Fault {
	return bitbuckettest.Fault{Kind: kind, Status: status, Body: proxyErrorPage, Header: map[string]string{"Content-Type": "text/html"}}
}

// endpoints are what a random fault is for, as prefixes of paths below the double's address.
var endpoints = []string{
	"/rest/api/1.0/application-properties", "/rest/api/1.0/repos", "/rest/api/1.0/projects",
	"/rest/api/1.0/projects/TRIAL/repos", "/rest/", "/scm/", "/plugins/servlet/applinks/whoami", "",
}

// RandomFault returns something that goes wrong at random: at one endpoint or all of them, for
// some requests or until it is removed. None of them lasts longer than it is there, and none
// is a refusal of the credential, which a server remembers until its configuration changes.
func RandomFault(random *rand.Rand) bitbuckettest.Fault {
	f := bitbuckettest.Fault{Path: endpoints[random.IntN(len(endpoints))], Skip: random.IntN(3), Count: random.IntN(6)}
	if random.IntN(4) == 0 {
		f.Kind = []bitbuckettest.Kind{bitbuckettest.KindREST, bitbuckettest.KindGit}[random.IntN(2)]
		f.Path = ""
	}
	if random.IntN(5) == 0 {
		f.Method = []string{http.MethodGet, http.MethodPost}[random.IntN(2)]
	}
	switch random.IntN(16) {
	case 0:
		f.Status = []int{400, 404, 409, 500, 502, 503, 504}[random.IntN(7)]
	case 1:
		f.Status, f.Body, f.Header = http.StatusBadGateway, proxyErrorPage, map[string]string{"Content-Type": "text/html"}
	case 2:
		f.Status, f.Body, f.Header = http.StatusOK, proxyErrorPage, map[string]string{"Content-Type": "text/html"}
	case 3:
		f.Effect, f.Delay = bitbuckettest.EffectSlow, time.Duration(random.IntN(1500))*time.Millisecond
	case 4:
		f.Effect, f.Delay, f.Kind, f.Path = bitbuckettest.EffectTrickle, 5*time.Millisecond, bitbuckettest.KindGit, ""
	case 5:
		f.Effect, f.After = bitbuckettest.EffectCut, random.IntN(2000)
	case 6:
		f.Effect, f.After, f.Kind, f.Path, f.Method = bitbuckettest.EffectCut, random.IntN(200<<10), bitbuckettest.KindGit, "", http.MethodPost
	case 7:
		f.Effect = bitbuckettest.EffectReset
	case 8:
		f.Effect = bitbuckettest.EffectLoginPage
	case 9:
		f.Effect = bitbuckettest.EffectWrongType
	case 10:
		f.Effect = []bitbuckettest.Effect{bitbuckettest.EffectRedirect, bitbuckettest.EffectRedirectLoop}[random.IntN(2)]
	case 11:
		f.Effect, f.RetryAfter = bitbuckettest.EffectRateLimited, []string{"", "1"}[random.IntN(2)]
		f.Count = 1 + random.IntN(3) // each may cost a wait
	case 12:
		f.Effect = bitbuckettest.EffectRepeatPage
	case 13:
		f.Effect = []bitbuckettest.Effect{bitbuckettest.EffectNoNextPageStart, bitbuckettest.EffectNoLastPage, bitbuckettest.EffectExtraKeys, bitbuckettest.EffectNullForAbsent}[random.IntN(4)]
	case 14:
		count := f.Count
		f = EmptyAdvertisement()
		f.Count = count
	case 15:
		// A token that has expired has done so for everything.
		f = bitbuckettest.Fault{Effect: bitbuckettest.EffectAnonymous}
	}
	return f
}
