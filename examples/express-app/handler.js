// An Express application as it stands: it listens on PORT, and needs to know nothing of Aether.
const express = require('express');

const app = express();
app.use(express.json());

const notes = new Map(); // of this instance alone: another one knows nothing of them

app.get('/', (request, response) => {
  response.json({ notes: notes.size, instance: process.env.AETHER_INSTANCE });
});

app.put('/notes/:id', (request, response) => {
  notes.set(request.params.id, request.body);
  response.status(201).json(request.body);
});

app.get('/notes/:id', (request, response) => {
  const note = notes.get(request.params.id);
  if (note === undefined) response.status(404).json({ error: 'no such note' });
  else response.json(note);
});

app.listen(process.env.PORT);
