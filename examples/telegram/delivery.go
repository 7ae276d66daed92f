package main

// delivery is what has become of a message, as the file of unsent messages has it.
type delivery string

const (
	unsent      delivery = "unsent"
	sending     delivery = "sending" // a request is on its way; if the program dies, it was perhaps sent
	sent        delivery = "sent"
	blocked     delivery = "blocked" // by the user, for good
	failed      delivery = "failed"  // given up, and surely not delivered
	perhapsSent delivery = "perhaps"
)

// deliveryField is the name of the field of a line, and its first: it is overwritten in
// place.
const deliveryField = "_delivery"

// lineBegin stands before the delivery in a line.
const lineBegin = `{"` + deliveryField + `":`

// padded is what stands for it in a line. All are equally long.
func (d delivery) padded() string {
	const spaces = "          "
	s := `"` + string(d) + `",`
	return s + spaces[len(s):]
}

// left is what is left to do for a message that an earlier campaign has left behind with
// this delivery: to send it, or not to know; or nothing.
func (d delivery) left() (toSend, perhaps, ok bool) {
	switch d {
	case unsent, failed:
		return true, false, true
	case sending, perhapsSent:
		return false, true, true
	case sent, blocked:
		return false, false, true
	}
	return false, false, false
}

// isOver reports whether there is nothing left to do.
func (d delivery) isOver() bool { return d == sent || d == blocked }
