"""HTTP and HTML as browsers read them, fetched politely."""
