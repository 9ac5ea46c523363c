"""The real OpenSeq2Seq in a real TensorFlow image. Run by hand: it needs an image of a gigabyte and some minutes."""
