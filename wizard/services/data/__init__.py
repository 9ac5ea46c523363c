"""The data to train on: LibriSpeech in parts. Everything lies in the data folder, which the container sees as /data."""
