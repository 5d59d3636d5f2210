"""Is everything the fleet stores in order? Green, warning, error, each with what to do."""

from libs.dbaccess.health.check import HealthCheck, verify_store
from libs.dbaccess.health.finding import Finding

__all__ = ["Finding", "HealthCheck", "verify_store"]
