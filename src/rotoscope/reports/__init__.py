"""What runs gave, as pages and pictures for people."""
