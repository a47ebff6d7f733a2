"""Many videos: a list of jobs, a journal that knows which are done, and runners that do them."""
