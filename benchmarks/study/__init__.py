"""What a recipe's switches do to the style and to the memory of the base, measured."""
