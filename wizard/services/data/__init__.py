"""The data to train on: LibriSpeech in parts, and recordings of one's own.

Everything lies in the data folder, which the container sees as /data.
"""
