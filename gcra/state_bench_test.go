package gcra_test

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

func BenchmarkSlotAndCharge(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	b.ReportAllocs()
	var s gcra.State
	now := int64(0)
	for b.Loop() {
		now += int64(p.Interval())
		s = s.Charge(s.Slot(now, p, 1), p, 1)
	}
}

func BenchmarkRebase(b *testing.B) {
	slow := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 30}
	fast := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	b.ReportAllocs()
	s := busy(fast, 0, 30)
	for b.Loop() {
		s = s.Rebase(0, slow).Rebase(0, fast)
	}
}

// A limit that rests, is always busy, or is busy with slots at odd instants.
func BenchmarkLedger(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	t := int64(p.Interval())
	for name, step := range map[string]func(l *gcra.Ledger, i int64){
		"rests": func(l *gcra.Ledger, i int64) { l.Charge(i*t, l.Slot(i*t, p, 1), p, 1) },
		"busy":  func(l *gcra.Ledger, i int64) { l.Charge(i*t, l.Slot(i*t, p, 1), p, 1) },
		"odd":   func(l *gcra.Ledger, i int64) { l.Charge(i*t, i*t+i%7, p, 1) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var l gcra.Ledger
			if name != "rests" {
				l.Charge(0, 0, p, 30)
			}
			for i := int64(0); b.Loop(); i++ {
				step(&l, i)
			}
		})
	}
}

func BenchmarkRefund(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	b.ReportAllocs()
	l := gcra.Ledger{}
	for range 100 {
		l.Charge(0, l.Slot(0, p, 1), p, 1)
	}
	for b.Loop() {
		slot := l.Slot(0, p, 1)
		l.Charge(0, slot, p, 1)
		l.Refund(slot, p, 1)
	}
}

func BenchmarkValidate(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
