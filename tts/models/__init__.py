"""The models: a config dataclass and a teacher-forced `forward` each; nothing about training or sampling."""
