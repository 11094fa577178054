package main

import "os"

// peakMemory is not known of a process that ended.
func peakMemory(*os.ProcessState) int64 { return 0 }
