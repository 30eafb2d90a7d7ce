// What an application on Bun's WebSocket server (uWebSockets) does to pass messages on by room.
// Usage: bun bun.js PORT
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const room = new URL(request.url).searchParams.get("room");
    if (server.upgrade(request, { data: { room } })) return;
    return new Response("a WebSocket is expected", { status: 400 });
  },
  websocket: {
    idleTimeout: 0,
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.room) socket.subscribe(socket.data.room);
    },
    message(socket, text) {
      server.publish(text.slice(0, text.indexOf(" ")), text);
    },
  },
});
