package npm

import "strings"

// SplitPath splits the path of a package into the path of the package around
// it, "" at the top, and the name of the folder: "@scope/name" or "name".
func SplitPath(p string) (parent, folder string) {
	const modules = "node_modules/"
	i := strings.LastIndex("/"+p, "/"+modules)
	if i < 0 {
		return "", ""
	}
	folder = p[i+len(modules):]
	if slashes := strings.Count(folder, "/"); slashes > 1 || (slashes == 1) != strings.HasPrefix(folder, "@") {
		return "", ""
	}
	return strings.TrimSuffix(p[:i], "/"), folder
}

// IsName reports whether s has the form "name" or "@scope/name".
func IsName(name string) bool {
	parent, folder := SplitPath("node_modules/" + name)
	return parent == "" && folder == name && !strings.HasPrefix(name, ".")
}
