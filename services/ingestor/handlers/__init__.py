"""What may be asked of the ingestor over its command socket, one file a command."""

from services.ingestor.handlers.play import play
from services.ingestor.handlers.rollover import rollover
from services.ingestor.handlers.status import status

__all__ = ["play", "rollover", "status"]
