package app

import "runtime/debug"

// version is set by the linker in a release: -X example.com/signpost/internal/app.version=1.2.3.
var version = ""

// Version returns the version of this program: the release's, else the module's, else
// the commit that it was built from, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if build.Main.Version != "" && build.Main.Version != "(devel)" {
		return build.Main.Version
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			return "devel-" + setting.Value[:min(len(setting.Value), 12)]
		}
	}
	return "devel"
}
