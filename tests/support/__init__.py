"""What tests share: drivers, waiting, a demo, real links. No test stands here."""
