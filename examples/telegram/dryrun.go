package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher"
)

// requestTakes is how long a request is expected to take. Where the limits bind, as
// they do in a campaign, it hardly matters.
const requestTakes = 50 * time.Millisecond

// plan says how long the campaign will take.
func (c *campaign) plan() (dispatcher.Forecast, error) {
	return dispatcher.Plan(c.config(), func(yield func(dispatcher.Job[int]) bool) {
		for i, m := range c.messages {
			if !yield(dispatcher.Job[int]{Key: m.ChatID, Payload: i}) {
				return
			}
		}
	}, requestTakes)
}

// dryRun sends nothing, and prints what would happen.
func (c *campaign) dryRun(w io.Writer) error {
	f, err := c.plan()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Dry run: %s would be sent in %v, if nothing has to be sent again.\n\n",
		counted(f.Jobs, "message"), f.Last.Round(100*time.Millisecond))
	drawCurve(w, f)
	return nil
}

// The size of the drawing, without its axes.
const (
	curveWidth  = 60
	curveHeight = 12
)

// drawCurve draws how many messages will have been sent after which time.
func drawCurve(w io.Writer, f dispatcher.Forecast) {
	if f.Jobs == 0 || f.Last == 0 {
		return
	}
	for row := curveHeight; row > 0; row-- {
		label := ""
		if row == curveHeight || row == curveHeight/2 {
			label = fmt.Sprint(f.Jobs * row / curveHeight)
		}
		var line strings.Builder
		for column := range curveWidth {
			after := f.Last * time.Duration(column+1) / curveWidth
			if sentAfter(f, after)*curveHeight >= f.Jobs*row {
				line.WriteByte('#')
			} else {
				line.WriteByte(' ')
			}
		}
		fmt.Fprintf(w, "%9s |%s\n", label, strings.TrimRight(line.String(), " "))
	}
	end := f.Last.Round(time.Second).String()
	fmt.Fprintf(w, "%9s +%s\n%9s  0%*s\n", "", strings.Repeat("-", curveWidth), "", curveWidth-1, end)
}

// sentAfter is how many messages will have been sent after a time.
func sentAfter(f dispatcher.Forecast, after time.Duration) int {
	i, exact := slices.BinarySearchFunc(f.Curve, after, func(p dispatcher.Point, t time.Duration) int { return cmp.Compare(p.After, t) })
	for exact && i+1 < len(f.Curve) && f.Curve[i+1].After == after {
		i++
	}
	if !exact {
		i--
	}
	if i < 0 {
		return 0
	}
	return f.Curve[i].Started
}
