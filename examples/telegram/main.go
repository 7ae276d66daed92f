// Command telegram sends a campaign through Telegram's Bot API.
package main

import "fmt"

func main() {
	fmt.Println("telegram: under construction")
}
