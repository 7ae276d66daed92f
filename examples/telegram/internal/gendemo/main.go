// Command gendemo writes the campaign that the example sends when it is given
// no file. It writes the same file every time.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
)

const (
	customers = 700 // with one message each
	blocked   = 14  // of the customers

	drivers = 8
	stops   = 25 // messages to each driver

	depots = 10
	shifts = 8 // messages to each depot's group
)

func main() {
	out := flag.String("o", "demo.jsonl", "`file` to write")
	flag.Parse()
	if err := os.WriteFile(*out, generate(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gendemo:", err)
		os.Exit(1)
	}
}

type line struct {
	ChatID int64  `json:"chat_id"`
	Text   string `json:"text"`
}

// generate returns the file. The messages of all chats are mixed as in an
// export by time; those of one chat are in order, and a driver's come in clumps
// of five, as they do when a tour is planned.
func generate() []byte {
	random := rand.New(rand.NewPCG(1, 2))

	// A chat's messages, and whose turn it is: one entry for each clump.
	chats := make(map[int64][]string)
	var turns []int64
	clump := make(map[int64]int)
	add := func(id int64, size int, texts []string) {
		chats[id], clump[id] = texts, size
		for range len(texts) / size {
			turns = append(turns, id)
		}
	}
	for i := range customers {
		add(userID(random, i < blocked, chats), 1, []string{customerText(random, i)})
	}
	for range drivers {
		add(userID(random, false, chats), 5, driverTexts(random))
	}
	for i := range depots {
		add(groupID(random, chats), 1, depotTexts(random, i))
	}
	random.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })

	var file bytes.Buffer
	enc := json.NewEncoder(&file)
	enc.SetEscapeHTML(false)
	for _, id := range turns {
		for _, text := range chats[id][:clump[id]] {
			if err := enc.Encode(line{id, text}); err != nil {
				panic(err) // a number and a string can be encoded
			}
		}
		chats[id] = chats[id][clump[id]:]
	}
	return file.Bytes()
}

// userID draws the id of a user. The example's server takes those as blocked
// whose rest by 50 is 7.
func userID(random *rand.Rand, blocked bool, taken map[int64][]string) int64 {
	for {
		id := 100_000_000 + 50*random.Int64N(130_000_000)
		if blocked {
			id += 7
		} else {
			id += (8 + random.Int64N(49)) % 50
		}
		if _, ok := taken[id]; !ok {
			return id
		}
	}
}

// groupID draws the id of a supergroup.
func groupID(random *rand.Rand, taken map[int64][]string) int64 {
	for {
		id := -1_001_000_000_000 - random.Int64N(999_999_999)
		if _, ok := taken[id]; !ok {
			return id
		}
	}
}
