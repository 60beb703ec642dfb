"""What is checked before anything is fetched or trained."""
