package fault

import "errors"

// A Topic is the anchor of a section of docs/troubleshooting.md. Every class
// has a topic, and some kinds of failure have their own.
type Topic string

// The topics.
const (
	AboutOurs      Topic = "a-fault-of-ours"
	AboutUsage     Topic = "usage"
	AboutLock      Topic = "lock"
	AboutConflict  Topic = "version-conflict" // a version that is not locked, or does not fit others
	AboutNetwork   Topic = "network"
	AboutProxy     Topic = "proxy" // something between us and the server answered
	AboutOffline   Topic = "offline"
	AboutSources   Topic = "all-sources-failed" // cache, mirrors and origin
	AboutBytes     Topic = "wrong-bytes"
	AboutSums      Topic = "checksum-files"
	AboutArchives  Topic = "archives" // what is in them, and which forms they have
	AboutCache     Topic = "damaged-cache"
	AboutPolicy    Topic = "policy"
	AboutDirect    Topic = "direct-references" // a package that is required by its address
	AboutMachine   Topic = "machine"
	AboutManagers  Topic = "package-managers"         // not found, too old or forbidden
	AboutSettings  Topic = "settings-of-cargo-and-go" // which count, and that they start no program
	AboutNPM       Topic = "npm"                      // settings of npm: which count
	AboutOthers    Topic = "cache-of-others"          // others can write to it
	AboutTime      Topic = "out-of-time"
	AboutBuckFiles Topic = "buck-files" // what lockgen buckify does not write
)

// Topics lists all topics.
func Topics() []Topic {
	return []Topic{AboutOurs, AboutUsage, AboutLock, AboutConflict, AboutNetwork, AboutProxy, AboutOffline, AboutSources,
		AboutBytes, AboutArchives, AboutSums, AboutCache, AboutPolicy, AboutDirect, AboutMachine, AboutManagers, AboutSettings, AboutNPM, AboutOthers, AboutTime, AboutBuckFiles}
}

// topical is an error with a topic of its own.
type topical struct {
	topic Topic
	error
}

func (e *topical) Unwrap() error { return e.error }

// About gives an error a topic. It does not change the class, the hint or the
// text. About of nil is nil.
func About(t Topic, err error) error {
	if err == nil {
		return nil
	}
	return &topical{t, err}
}

// TopicOf returns the outermost topic that err was given, or the topic of its
// class. It is "" for nil and for a run that the user stopped.
func TopicOf(err error) Topic {
	class := Of(err)
	if class == OK || class == Interrupted {
		return ""
	}
	var e *topical
	if errors.As(err, &e) {
		return e.topic
	}
	switch class {
	case Usage:
		return AboutUsage
	case Lock:
		return AboutLock
	case Upstream:
		return AboutNetwork
	case Integrity:
		return AboutBytes
	case Policy:
		return AboutPolicy
	case Machine:
		return AboutMachine
	}
	return AboutOurs
}
