// Draws the newest picture. Each one is confirmed after it was drawn, so that the server never
// sends ahead of what this viewer and its link can take.

import { connect } from "./connection.js";

const WINDOW_MS = 2000;

export class Video {
  constructor(canvas, placeholder) {
    this.canvas = canvas;
    this.placeholder = placeholder;
    this.pen = canvas.getContext("2d");
    this.drawn = [];
    connect("/ws/video", { onMessage: (data, socket) => this.show(data, socket) });
  }

  async show(jpeg, socket) {
    try {
      const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
        this.canvas.width = picture.width;
        this.canvas.height = picture.height;
      }
      this.pen.drawImage(picture, 0, 0);
      picture.close();
      this.placeholder.hidden = true;
      this.drawn.push(performance.now());
    } finally {
      if (socket.readyState === WebSocket.OPEN) socket.send("");
    }
  }

  // Pictures per second over the last two seconds; null before the first one.
  rate() {
    if (this.placeholder.hidden === false) return null;
    const now = performance.now();
    this.drawn = this.drawn.filter((at) => now - at <= WINDOW_MS);
    return (1000 * this.drawn.length) / WINDOW_MS;
  }
}
