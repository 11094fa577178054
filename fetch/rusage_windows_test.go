package main

import (
	"os"
	"time"
)

// cpuTime is not counted here for what was started.
func cpuTime() time.Duration { return 0 }

// peakMemory is not known of a process that ended.
func peakMemory(*os.ProcessState) int64 { return 0 }
