package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	pictureWidth  = 7 * vg.Inch
	pictureHeight = 4 * vg.Inch
)

// series is a line of a picture.
type series struct {
	name   string
	points plotter.XYs
}

// inks are told apart by who does not see all colours, too.
var inks = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {86, 180, 233, 255},
}

// inkOf gives a series one colour in all pictures.
var inkOf = map[string]color.RGBA{
	costDispatcher:               inks[0],
	costGoroutines:               inks[1],
	"goroutine + FreqLimit.Wait": inks[2],
	"uber ratelimit, one loop":   inks[3],
}

// drawAll writes the pictures of what has been measured in full to a directory,
// unless that is "".
func drawAll(dir string, results []result, all []group) error {
	if dir == "" {
		return nil
	}
	pictures := map[string]func(path string) error{}
	cost, late := all[:0:0], all[:0:0]
	for _, g := range all {
		switch {
		case g.measurements[0].series != "":
			cost = append(cost, g)
		case slices.ContainsFunc(latenessRates, func(rate int) bool { return g.name == latenessGroup(rate) }):
			late = append(late, g)
		}
	}
	if complete(results, late) {
		pictures["lateness.svg"] = func(path string) error { return drawLateness(path, results) }
	}
	if complete(results, cost) {
		pictures["throughput.svg"] = func(path string) error {
			return drawSizes(path, "All wait, then run: jobs per second", seriesOf(results, "run", func(ns float64) float64 { return 1e9 / ns }))
		}
		pictures["memory.svg"] = func(path string) error {
			return drawSizes(path, "Bytes for each waiting job, without its payload", seriesOf(results, "memory", func(f float64) float64 { return f }))
		}
	}
	if len(pictures) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, write := range pictures {
		if err := write(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// complete says whether all measurements of the groups have figures.
func complete(results []result, groups []group) bool {
	for _, g := range groups {
		for _, m := range g.measurements {
			if !slices.ContainsFunc(results, func(r result) bool {
				return r.group.name == g.name && r.name == m.name && len(r.figures) > 0
			}) {
				return false
			}
		}
	}
	return len(groups) > 0
}

// seriesOf returns a figure of all measurements that have a size.
func seriesOf(results []result, figure string, of func(float64) float64) []series {
	var all []series
	for _, r := range results {
		if r.series == "" || len(r.figures[figure]) == 0 {
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != r.series {
			all = append(all, series{name: r.series})
		}
		last := &all[len(all)-1]
		last.points = append(last.points, plotter.XY{X: float64(r.size), Y: of(median(r.figures[figure]))})
	}
	return all
}

// drawSizes draws figures against the number of waiting jobs.
func drawSizes(path, title string, all []series) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = "jobs that wait"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = shortTicks{}, shortTicks{}
	if err := addSeries(p, all, true); err != nil {
		return err
	}
	// Whole decades, so that the axis has marks whatever the figures are.
	p.X.Min, p.X.Max = decades(p.X.Min, p.X.Max)
	p.Y.Min, p.Y.Max = decades(p.Y.Min, p.Y.Max)
	p.Y.Min /= 10 // room for the legend
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(8), vg.Points(8)
	return save(path, [][]*plot.Plot{{p}}, pictureWidth, pictureHeight)
}

// addSeries adds lines to a plot, with a mark at each point or without.
func addSeries(p *plot.Plot, all []series, marks bool) error {
	p.Add(plotter.NewGrid())
	for i, s := range all {
		ink, known := inkOf[s.name]
		if !known {
			ink = inks[i%len(inks)]
		}
		line, points, err := plotter.NewLinePoints(s.points)
		if err != nil {
			return err
		}
		line.Color, line.Width = ink, vg.Points(1.5)
		points.Color, points.Shape = ink, draw.CircleGlyph{}
		p.Add(line)
		if marks {
			p.Add(points)
		}
		p.Legend.Add(s.name, line)
	}
	return nil
}

// save writes plots side by side.
func save(path string, plots [][]*plot.Plot, width, height vg.Length) error {
	picture := vgsvg.New(width, height)
	canvas := draw.New(picture)
	tiles := draw.Tiles{Rows: len(plots), Cols: len(plots[0]), PadX: vg.Points(12), PadRight: vg.Points(16), PadLeft: vg.Points(4), PadBottom: vg.Points(4), PadTop: vg.Points(4)}
	for row, tilesOfRow := range plot.Align(plots, tiles, canvas) {
		for column, tile := range tilesOfRow {
			plots[row][column].Draw(tile)
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := picture.WriteTo(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
