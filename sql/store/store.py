"""Everything in one: the modules over one database."""

from sql.store.api import Analyses, Tokens, Updates
from sql.store.incidents import Incidents
from sql.store.integration import Integration
from sql.store.metrics import Metrics
from sql.store.models import Models
from sql.store.nights import Nights
from sql.store.overview import Overview
from sql.store.patterns import Patterns
from sql.store.performance import Performance
from sql.store.pipelines import Pipelines
from sql.store.pool import Database
from sql.store.stream import Stream
from sql.store.tasks import Tasks


class Store:
    """The modules of the schema, each with its tables and questions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tasks = Tasks(database)
        self.pipelines = Pipelines(database)
        self.metrics = Metrics(database)
        self.performance = Performance(database)
        self.integration = Integration(database)
        self.patterns = Patterns(database)
        self.models = Models(database)
        self.stream = Stream(database)
        self.incidents = Incidents(database)
        self.overview = Overview(database)
        self.nights = Nights(database)
        self.tokens = Tokens(database)
        self.analyses = Analyses(database)
        self.updates = Updates(database)
