"""What blends of a model are made of, stored and swept, and the base that they are drawn with."""
