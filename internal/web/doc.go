// Package web is the place of the admin site. Nothing is in it yet: administrators use
// the API (package api) and the config commands.
package web
