// Three services, each with its endpoints.
module.exports = {
  http: { port: process.env.PORT || 8080 },
  apiEndpoints: {
    users: { host: 'localhost', paths: '/users/*' },
    products: { host: 'localhost', paths: ['/products', '/products/*', '/categories/*'] },
    orders: { host: 'localhost', paths: ['/orders', '/orders/*', '/cart'] },
  },
  serviceEndpoints: {
    userService: { url: 'http://localhost:3001' },
    productService: { url: 'http://localhost:3002' },
    orderService: { url: 'http://localhost:3003' },
  },
  policies: ['cors', 'proxy', 'rate-limit'],
  pipelines: {
    userPipeline: {
      apiEndpoints: ['users'],
      policies: [
        { proxy: { action: { serviceEndpoint: 'userService', changeOrigin: true, stripPath: false } } },
      ],
    },
    productPipeline: {
      apiEndpoints: ['products'],
      policies: [
        { cors: { action: { origin: ['https://shop.example'], methods: 'GET,HEAD', maxAge: 600 } } },
        { proxy: { action: { serviceEndpoint: 'productService', changeOrigin: true, stripPath: false } } },
      ],
    },
    orderPipeline: {
      apiEndpoints: ['orders'],
      policies: [
        {
          'rate-limit': {
            condition: { name: 'expression', expression: "req.method === 'POST'" },
            action: { max: 10, windowMs: 60000, rateLimitBy: '${req.ip}' },
          },
        },
        { proxy: { action: { serviceEndpoint: 'orderService', changeOrigin: true, stripPath: false } } },
      ],
    },
  },
};
