console.error("failure at start");
process.exit(1);
