package main

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// curvePoints is how many points a curve of lateness has at most.
const curvePoints = 200

// drawLateness draws, for each rate, which share of the starts was at most so
// late.
func drawLateness(path string, results []result) error {
	row := make([]*plot.Plot, len(latenessRates))
	for i, rate := range latenessRates {
		var curves []series
		least, most := math.Inf(1), math.Inf(-1)
		for _, r := range results {
			if r.group.name != latenessGroup(rate) || len(r.late) == 0 {
				continue
			}
			points := curve(r.late)
			least, most = min(least, points[0].X), max(most, points[len(points)-1].X)
			curves = append(curves, series{r.name, points})
		}
		p := plot.New()
		p.Title.Text = "at " + thousands(float64(rate)) + "/s"
		p.X.Label.Text = "late by at most, µs"
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, shortTicks{}
		if err := addSeries(p, curves, false); err != nil {
			return err
		}
		p.X.Min, p.X.Max = decades(least, most)
		p.Y.Min, p.Y.Max = 0, 145 // the legend is above the curves
		p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 50, Label: "50"}, {Value: 100, Label: "100"}}
		if i == 0 {
			p.Y.Label.Text = "% of the starts"
		} else {
			p.Legend = plot.NewLegend() // the first has it
		}
		p.Legend.Top, p.Legend.Left = true, true
		row[i] = p
	}
	return save(path, [][]*plot.Plot{row}, 2*pictureWidth, pictureHeight)
}

// curve returns some of the points of a distribution. The axis has no zero, so
// what is less than a tenth of a microsecond is drawn there.
func curve(late []float64) plotter.XYs {
	sorted := slices.Sorted(slices.Values(late))
	n := min(len(sorted), curvePoints)
	points := make(plotter.XYs, n)
	for i := range points {
		q := float64(i+1) / float64(n)
		points[i] = plotter.XY{X: max(quantile(sorted, q), 0.1), Y: 100 * q}
	}
	return points
}

// decades returns the powers of ten around figures above 0.
func decades(least, most float64) (from, to float64) {
	from = math.Pow(10, math.Floor(math.Log10(least)))
	to = math.Pow(10, math.Ceil(math.Log10(most)))
	if from == to {
		to *= 10
	}
	return from, to
}

// shortTicks are those of a logarithmic axis, written 10, 10k, 10M.
type shortTicks struct{}

// Ticks implements [plot.Ticker].
func (shortTicks) Ticks(least, most float64) []plot.Tick {
	ticks := plot.LogTicks{Prec: -1}.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = short(ticks[i].Value)
		}
	}
	return ticks
}

func short(f float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if f >= unit.size {
			return strconv.FormatFloat(f/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}
