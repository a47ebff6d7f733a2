"""The service behind the page: projects, frames and masks by number, and one worker that runs along a clip."""
