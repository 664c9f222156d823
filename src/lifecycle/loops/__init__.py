"""The six loops: each one's steps over tools and domain records."""
