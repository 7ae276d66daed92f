package main

import (
	"fmt"
	"math/rand/v2"
)

var (
	names = []string{
		"Anna", "Boris", "Chloé", "Daniel", "Elif", "Fatima", "Georg", "Hana", "Ivan", "Jürgen",
		"Katya", "Luca", "Marta", "Nikolai", "Olga", "Paulo", "Rosa", "Søren", "Tomáš", "Zoë",
	}
	streets = []string{
		"Mill Street", "Station Road", "Elm Lane", "Harbour Walk", "King's Road", "Orchard Way",
		"North Quay", "Chapel Hill", "Bridge Street", "Meadow Close", "Foundry Row", "Castle Terrace",
	}
	notes = []string{
		"ring twice", "leave with the neighbour", "gate code on the label", "fragile",
		"signature needed", "call before", "use the back door", "cash on delivery",
	}
	depotNames = []string{
		"North", "Harbour", "Airport", "Old Town", "East Gate", "Riverside", "Hilltop", "Market",
		"Ring Road", "South",
	}
)

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }

func parcel(random *rand.Rand) int { return 10_000_000 + random.IntN(90_000_000) }

func address(random *rand.Rand) string {
	return fmt.Sprintf("%d %s", 1+random.IntN(120), pick(random, streets))
}

// customerText is one of the notices that a parcel service sends.
func customerText(random *rand.Rand, i int) string {
	name, number, hour := pick(random, names), parcel(random), 8+random.IntN(11)
	switch i % 6 {
	case 0:
		return fmt.Sprintf("Hi %s, parcel %d is out for delivery and should be with you between %d:00 and %d:00.",
			name, number, hour, hour+2)
	case 1:
		return fmt.Sprintf("📦 %s, parcel %d is waiting for you at %s. Show this code: %04d",
			name, number, address(random), random.IntN(10_000))
	case 2:
		return fmt.Sprintf("Sorry, %s: nobody was home. We will bring parcel %d again tomorrow after %d:00.\nAnother day? Reply with a date.",
			name, number, hour)
	case 3:
		return fmt.Sprintf("Delivered! Parcel %d was left at %s at %d:%02d. Thank you, %s.",
			number, address(random), hour, random.IntN(60), name)
	case 4:
		return fmt.Sprintf("%s, customs has cleared parcel %d. There is nothing to pay.", name, number)
	}
	return fmt.Sprintf("Hi %s, how was the delivery of parcel %d? Answer with a number from 1 to 5 ⭐", name, number)
}

// driverTexts is a driver's tour, a message for each stop.
func driverTexts(random *rand.Rand) []string {
	texts := make([]string, stops)
	for i := range texts {
		texts[i] = fmt.Sprintf("Stop %d of %d: %s, parcel %d, %s",
			i+1, stops, address(random), parcel(random), pick(random, notes))
	}
	return texts
}

// depotTexts is what the group of a depot hears in a day.
func depotTexts(random *rand.Rand, depot int) []string {
	texts := make([]string, shifts)
	for i := range texts {
		texts[i] = fmt.Sprintf("Depot %s, %02d:00: %d parcels in, %d out, %d returned",
			depotNames[depot], 6+2*i, 40+random.IntN(200), 40+random.IntN(200), random.IntN(12))
	}
	return texts
}
