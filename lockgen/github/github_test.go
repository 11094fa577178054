package github

import (
	"net/url"
	"testing"
)

// TestGitHubToken: the token is for GitHub's API and for nobody else.
func TestGitHubToken(t *testing.T) {
	give := Credentials(func(name string) string {
		if name == "GITHUB_TOKEN" {
			return "canary"
		}
		return ""
	})
	given := 0
	for address, want := range map[string]bool{
		"https://api.github.com/repos/a/b":          true,
		"http://api.github.com/repos/a/b":           false,
		"https://github.com/a/b":                    false,
		"https://api.github.com.evil.example/":      false,
		"https://api.github.com:444/":               false,
		"https://evil.example/https/api.github.com": false,
		"http://127.0.0.1:1/api/":                   false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		c := give(u)
		if (c.Authorization == "Bearer canary") != want || !want && c.Name != "" {
			t.Errorf("%s: %+v", address, c)
		}
		if want {
			given++
		}
	}
	if given == 0 {
		t.Error("no address that is given the token")
	}
}
