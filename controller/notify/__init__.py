"""The third service: it tells a bartender whose page is closed, and takes the answer to a knock.

Read `notices` (what a message is), then `decide` (what is sent when), `routing` (to whom),
`pending` (what one channel has still to send), `answers` (links that work once): all pure, with the
time as an argument. `words` is English and Italian. The edges are `channels` (Apprise, ntfy,
Telegram), `sender` (one thread a channel), `answer_page` (HTTP) and `service`, which joins them to
the broker. Only the command line imports this package; the controller and the page never do.
"""
