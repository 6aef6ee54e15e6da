"""`tts bench`: how fast a voice speaks on this machine, what holds it back, and how long a start takes."""
