package proc

func alive(int) bool { return false }
