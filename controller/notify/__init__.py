"""The third service: messages for a bartender whose page is closed, and the answer to a knock.

Only the command line imports this package; the controller and the page never do. The first seven
are pure: time is an argument.

In reading order:

    notices       what a message is, and the withdrawal of one
    decide        what is sent when
    venues        what is sent of many bars
    routing       to whom
    pending       what one channel has still to send
    answers       links that work once
    words         English and Italian
    channels      the ways out: Apprise, ntfy, Telegram
    check         does Apprise know the address, does a test arrive?
    sender        one thread a channel
    answer_page   where a phone answers, by HTTP
    service       all of it, joined to the broker
"""
