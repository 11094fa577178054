package pep440

import "strconv"

// Manylinux lists the wheel tags for glibc 2.28 down to 2.oldest (PEP 600),
// with the older names of three of them from PEP 513, 571 and 599.
func Manylinux(arch string, oldest int) []string {
	legacy := map[int]string{17: "manylinux2014_", 12: "manylinux2010_", 5: "manylinux1_"}
	var tags []string
	for minor := 28; minor >= oldest; minor-- {
		tags = append(tags, "manylinux_2_"+strconv.Itoa(minor)+"_"+arch)
		if old, ok := legacy[minor]; ok {
			tags = append(tags, old+arch)
		}
	}
	return tags
}

// MacOSX lists the wheel tags for macOS 14 down to the oldest major version
// that runs on the processor, as in PyPA's packaging library.
func MacOSX(arch string, oldest int) []string {
	var tags []string
	for major := 14; major >= 11; major-- {
		for _, a := range []string{arch, "universal2"} {
			tags = append(tags, "macosx_"+strconv.Itoa(major)+"_0_"+a)
		}
	}
	if oldest <= 10 {
		for minor := 16; minor >= 6; minor-- {
			for _, a := range []string{arch, "universal2", "intel"} {
				tags = append(tags, "macosx_10_"+strconv.Itoa(minor)+"_"+a)
			}
		}
	}
	return tags
}
