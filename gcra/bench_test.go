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

func BenchmarkRefund(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	b.ReportAllocs()
	s := busy(p, 0, 100)
	for b.Loop() {
		slot := s.Slot(0, p, 1)
		s, _ = s.Charge(slot, p, 1).Refund(slot, p, 1)
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
