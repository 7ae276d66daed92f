// Package botapi is a fake of the Telegram Bot API that is as strict as a
// server can be, to try a sender on without sending anything.
//
// It speaks the protocol of https://core.telegram.org/bots/api over HTTP, for
// the methods getMe and sendMessage, and it holds every sender to these rules:
//
//   - No half-open window of a limit's length, wherever it begins, ever holds
//     more accepted messages than the limit allows: by default 30 in a second
//     over all chats, 1 in a second per chat, 20 in a minute per group. A
//     message that would be one too many is answered with 429 and retry_after,
//     the whole seconds until it would fit.
//   - A message counts from the instant at which its request has been read in
//     full, on the server's monotonic clock. Latency comes after that instant.
//   - Only accepted messages count. An answer of 400, 403, 429 or 502 delivers
//     nothing and leaves every window as it was. A message that a [Storm] loses
//     gets no answer at all, and doesn't count either.
//   - The outcomes are looked for in this order: 401 wrong token, 404 unknown
//     method, 400 bad parameters, 502 bad gateway, lost, 403 blocked, 429 storm,
//     429 windows. A gateway that is down knows nothing of chats, and a blocked
//     chat has no traffic to limit.
//   - With the same seed the n-th request for a chat fares the same in every
//     run, in whatever order the requests of different chats arrive.
//
// As on Telegram, a chat whose id is negative is a group. A chat that is named
// by "@username" is a channel or a public group, and counts as a group too.
//
// [New] makes a [Server], which is an [net/http.Handler]. [Server.Start] puts
// it on a loopback port; [Server.Do] makes it an HTTP client that answers its
// own requests, which lets a whole sender run in a testing/synctest bubble.
package botapi
