package plan

// Near returns existing versions to suggest for a missing one: the newest, and
// the nearest below and above it; "" for none. There is true if the version
// exists after all. Withdrawn versions are not suggested, and pre-releases only
// for a pre-release.
func Near(kind string, releases []Release, version string) (newest, below, above string, there bool) {
	_, valid := parseVersion(kind, version)
	for _, r := range releases {
		if _, ok := parseVersion(kind, r.Version); !ok {
			there = there || r.Version == version
			continue
		}
		order := CompareVersions(kind, r.Version, version)
		there = there || order == 0 || r.Version == version
		if r.Yanked != "" || (r.Pre || isPre(kind, r.Version)) && !isPre(kind, version) {
			continue
		}
		if !r.Early && (newest == "" || CompareVersions(kind, r.Version, newest) > 0) {
			newest = r.Version
		}
		switch {
		case !valid:
		case order < 0 && (below == "" || CompareVersions(kind, r.Version, below) > 0):
			below = r.Version
		case order > 0 && (above == "" || CompareVersions(kind, r.Version, above) < 0):
			above = r.Version
		}
	}
	return newest, below, above, there
}
