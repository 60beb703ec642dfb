"""A folder published to the Hugging Face Hub, or to another folder of the same layout."""
