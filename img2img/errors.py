"""The tree of exceptions. Each message says what was expected, what came and what to do, on one line."""


class Img2ImgError(Exception):
    """Base of every error this package raises on purpose for a user to read."""


class DataError(Img2ImgError):
    """The images or folders given cannot be used as asked."""


class ModelFileError(Img2ImgError):
    """A translator file is missing, truncated, foreign, newer than this version, or unsafe."""


class ConfigError(Img2ImgError):
    """Options are unknown, of a wrong type, or contradict one another."""


class RunError(Img2ImgError):
    """A run folder cannot be written, continued, or continued with these options."""
