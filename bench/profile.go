package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/pprof/profile"
)

// profiles collects the CPU profiles of the children. A nil one collects none.
type profiles struct {
	file  *os.File // for all of them as one
	dir   string
	count int
}

func newProfiles(path string) (*profiles, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freqlimit-bench-")
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &profiles{file: file, dir: dir}, nil
}

// next returns where the next child writes its profile, "" if nowhere.
func (p *profiles) next() string {
	if p == nil {
		return ""
	}
	p.count++
	return filepath.Join(p.dir, strconv.Itoa(p.count))
}

// save writes all profiles as one.
func (p *profiles) save() error {
	err := p.merge()
	if err != nil {
		err = fmt.Errorf("-cpuprofile: %w", err)
	}
	return errors.Join(err, p.file.Close(), os.RemoveAll(p.dir))
}

func (p *profiles) merge() error {
	var all []*profile.Profile
	for i := range p.count {
		one, err := readProfile(filepath.Join(p.dir, strconv.Itoa(i+1)))
		if errors.Is(err, os.ErrNotExist) {
			continue // its child did not get that far
		}
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return err
	}
	return merged.Write(p.file)
}

func readProfile(path string) (*profile.Profile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return profile.Parse(file)
}
