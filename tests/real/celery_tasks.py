"""What Celery's workers do."""
import os

import celery

app = celery.Celery("tasks", broker=os.environ["CELERY_URL"], backend=os.environ["CELERY_URL"])


@app.task
def square(number):
    return number**2
