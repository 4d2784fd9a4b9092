// Runs, says so, and never listens.
console.log("started");
setInterval(() => {}, 1000);
